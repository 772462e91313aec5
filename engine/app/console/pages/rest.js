// The pages that are not needed to show the first one: a script of their own. All else is in the first, also
// what these do not need.
import "../console.jsx";
export { Callbacks } from "./callbacks.jsx";
export { Dead } from "./dead.jsx";
export { Deliveries } from "./deliveries.jsx";
export { EventPage } from "./event.jsx";
export { Events } from "./events.jsx";
export { Graphs } from "./graphs.jsx";
export { Playground } from "./playground.jsx";
export { RulePage } from "./rule.jsx";
export { Rules } from "./rules.jsx";
