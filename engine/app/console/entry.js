// esbuild makes a script of what console.jsx and rest.js both need: all but the other pages. The page loads that one.
import "./console.jsx";
