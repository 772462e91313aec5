import { Icon } from "../parts/icon.jsx";
import { Sent } from "../parts/text.jsx";

// Within a sentence nothing of a name may turn the rest of it round.
const flat = (text) => text.replace(/[\u202a-\u202e\u2066-\u2069\n]/g, "");

// How a callback is named in words.
export const who = (row) => flat(row.name || row.number || "") || "Somebody without a name";
export const firstLine = (text) => (text ?? "").split("\n")[0];

// A number to press. What cannot be dialled (masked, or no number at all) is only shown; nor what has * or # in
// it: "*21*..#" forwards the calls of the phone that dials it.
export function PhoneNumber({ number, name }) {
  if (!number) return <span class="number mute">No number</span>;
  const dial = number.replace(/[^\d+]/g, "");
  const can = /^[\d+()\s./-]+$/.test(number) && /^\+?\d{3,}$/.test(dial);
  if (!can) return <Sent class="number">{number}</Sent>;
  return <a class="number" href={`tel:${dial}`} aria-label={`Call ${name}: ${number}`}><Icon name="phone" size={15} /><Sent>{number}</Sent></a>;
}
