import { Head } from "../parts/frame.jsx";

export function Deliveries() {
  return <Head title="Deliveries" />;
}
