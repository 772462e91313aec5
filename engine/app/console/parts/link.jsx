import { go } from "../hooks.js";

// A link within the console: the browser's own for everything but a plain click.
export function Link({ to, children, ...rest }) {
  const href = `/console${to === "/" ? "" : to}`;
  const onClick = (e) => {
    if (e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey || e.defaultPrevented) return;
    e.preventDefault();
    go(href);
    window.scrollTo(0, 0);
  };
  return <a href={href} onClick={onClick} {...rest}>{children}</a>;
}
