import { Head } from "../parts/frame.jsx";

export function Graphs() {
  return <Head title="Graphs" />;
}
