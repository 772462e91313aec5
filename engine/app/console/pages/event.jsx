import { Head } from "../parts/frame.jsx";

export function EventPage() {
  return <Head title="EventPage" />;
}
