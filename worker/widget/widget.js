// The script that a page has: registers the elements, puts the button on a page that placed none,
// and asks what the page's address asks. Everything else is loaded at first use.

import { DocentChat, DocentSearch } from './element.js';

const { dataset = {} } = document.currentScript ?? {};

function begin() {
  const placed = () => document.querySelector('docent-chat,docent-search');
  const { element = 'chat', ...attributes } = { mode: 'floating', ...dataset };
  if (!placed() && attributes.mode !== 'none') {
    const node = document.createElement(`docent-${element}`);
    for (const name in attributes) node.setAttribute(name, attributes[name]);
    document.body.append(node);
  }
  if (!/[?&]ask=/.test(location.search)) return; // nearly always; what follows is slow
  const url = new URL(location);
  const question = url.searchParams.get('ask');
  url.searchParams.delete('ask'); // or a reload would ask again
  history.replaceState(history.state, '', url);
  placed()?.ask(question);
}

// Loaded twice, it does nothing.
if (!customElements.get('docent-chat')) {
  customElements.define('docent-chat', DocentChat);
  customElements.define('docent-search', DocentSearch);
  if (document.readyState === 'loading') addEventListener('DOMContentLoaded', begin);
  else begin();
}
