import { Head } from "../parts/frame.jsx";

export function Callbacks() {
  return <Head title="Callbacks" />;
}
