// Nodes and links: never a string that becomes HTML.

/**
 * An element: `h('button.send', {title: 'Send', click: send}, 'Send')`. Functions become listeners,
 * attributes that are null or false are left out, and so are children that are no node or text.
 * Every class is also a part, for the style of the page around.
 */
export function h(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split('.');
  const node = document.createElement(tag);
  if (classes.length) node.className = node.part = classes.join(' ');
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === 'function') node.addEventListener(key, value);
    else if (value != null && value !== false) node.setAttribute(key, value === true ? '' : value);
  }
  node.append(...children.flat(9).filter((child) => child instanceof Node || typeof child === 'string'));
  return node;
}

/** The address if a link may lead there, else undefined. Relative ones mean nothing on another site. */
export function safeUrl(address) {
  const url = URL.canParse(address) && new URL(address);
  return /^(https?|mailto):$/.test(url.protocol) ? url.href : undefined;
}

/** A link that opens beside the page; without an address that may be followed, its text alone. */
export function link(name, address, attributes = {}, ...children) {
  const href = safeUrl(address);
  return href ? h(`a${name}`, { ...attributes, href, target: '_blank', rel: 'noopener' }, ...children)
    : h(`span${name}`, {}, ...children);
}

/** A text with `value` where it has `{n}`. */
export const fill = (text, value) => text.replace('{n}', () => value);
