import { useList } from "../hooks.js";
import { Head } from "../parts/frame.jsx";
import { Link } from "../parts/link.jsx";
import { Rows } from "../parts/rows.jsx";
import { Badge, Empty, Failure, Loading } from "../parts/state.jsx";
import { Time } from "../parts/time.jsx";

export function Events() {
  const list = useList("/events", { limit: 100 }, ["events", "runs"]);
  return (
    <>
      <Head title="Events" />
      {list.error && <Failure error={list.error} retry={list.reload} />}
      {list.loading && !list.data ? <Loading /> : null}
      {list.data && list.rows.length === 0 && <Empty title="No events yet"><p>Send one: <code>switchhook send events/call_start.json</code></p></Empty>}
      {list.rows.length > 0 && (
        <Rows items={list.rows} label="Events" onEnd={list.more} render={(event) => (
          <Link to={`/events/${event.id}`}>
            <Badge state={event.state} />
            <span class="grow cut">{event.type} <span class="mute">{event.key}</span></span>
            <span class="at"><Time at={event.received_at} /></span>
          </Link>
        )} />
      )}
    </>
  );
}
