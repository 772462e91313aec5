import { Head } from "../parts/frame.jsx";

export function Dead() {
  return <Head title="Dead" />;
}
