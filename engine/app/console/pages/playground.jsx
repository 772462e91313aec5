import { Head } from "../parts/frame.jsx";

export function Playground() {
  return <Head title="Playground" />;
}
