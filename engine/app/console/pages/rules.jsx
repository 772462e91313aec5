import { Head } from "../parts/frame.jsx";

export function Rules() {
  return <Head title="Rules" />;
}
