import { Head } from "../parts/frame.jsx";

export function RulePage() {
  return <Head title="RulePage" />;
}
