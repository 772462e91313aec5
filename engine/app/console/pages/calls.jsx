import { Head } from "../parts/frame.jsx";

export function Calls() {
  return <Head title="Calls" />;
}
