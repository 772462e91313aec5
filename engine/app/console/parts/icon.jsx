import { Activity, ArrowUp, Braces, ChartLine, CircleCheck, Clock, Copy, Database, Download, Ellipsis, FlaskConical, Globe,
  LogOut, Mail, MailWarning, Moon, Pause, Phone, PhoneForwarded, PhoneIncoming, PhoneOutgoing, Play, RotateCw, Scroll, Search,
  Send, Sun, Trash, TriangleAlert, X, Zap } from "lucide";
import { h } from "preact";

const icons = { activity: Activity, chart: ChartLine, check: CircleCheck, more: Ellipsis, flask: FlaskConical,
  logout: LogOut, dead: MailWarning, moon: Moon, phone: Phone, callback: PhoneForwarded, rules: Scroll, search: Search,
  send: Send, sun: Sun, alert: TriangleAlert, close: X, clock: Clock, globe: Globe, mail: Mail, pause: Pause, play: Play,
  again: RotateCw, up: ArrowUp, json: Braces, copy: Copy, record: Database, download: Download, incoming: PhoneIncoming,
  outgoing: PhoneOutgoing, drop: Trash, emit: Zap };

// A picture beside words: never the only thing that says something.
export function Icon({ name, size = 20 }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2"
      stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      {icons[name].map(([tag, attributes]) => h(tag, attributes))}
    </svg>
  );
}
