import { Component } from "preact";
import { Empty } from "./state.jsx";

// A mistake of the console's own on one page leaves the others usable.
export class Fence extends Component {
  componentDidCatch(error) {
    this.setState({ error });
  }

  render() {
    if (!this.state.error) return this.props.children;
    return (
      <Empty title="This page cannot be shown" icon="alert">
        <p>That is a mistake of the console, not of yours: <code>{String(this.state.error?.message ?? this.state.error)}</code></p>
        <p><button type="button" onClick={() => location.reload()}>Load it again</button></p>
      </Empty>
    );
  }
}
