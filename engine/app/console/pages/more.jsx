import { Head } from "../parts/frame.jsx";

export function More() {
  return <Head title="More" />;
}
