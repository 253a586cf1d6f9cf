// The theme editor of the demo page: what is chosen shows on the widget, and as lines to copy.

const [preview, editor, lines, copied] = ['preview', 'editor', 'lines', 'copied'].map((id) => document.getElementById(id));
const UNITS = { '--docent-radius': 'px', '--docent-font-size': 'px' };

/** What differs from how the page began, as `[name, value]`. */
function chosen() {
  return [...new FormData(editor)].filter(([name, value]) => {
    const field = editor.elements[name];
    return value !== (field.defaultValue ?? field.options[0].value);
  });
}

function show({ target } = {}) {
  const all = chosen();
  const properties = all.filter(([name]) => name.startsWith('--')).map(([name, value]) => [name, value + (UNITS[name] ?? '')]);
  const { element = 'chat', ...attributes } = Object.fromEntries(all.filter(([name]) => !name.startsWith('--')));
  const tag = `docent-${element}`;
  if (element === 'search') attributes.mode ??= 'inline'; // by itself it is a window
  let widget = preview.firstElementChild;
  // Place and language are read once, when it is put on a page.
  if (!target || /^(mode|element|lang)$/.test(target.name)) {
    widget = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) widget.setAttribute(name, value);
    preview.replaceChildren(widget);
    if (attributes.mode && target && target.name !== 'lang') widget.open();
  }
  widget.setAttribute('theme', attributes.theme ?? '');
  for (const { name } of editor.elements) if (name.startsWith('--')) widget.style.removeProperty(name);
  for (const [name, value] of properties) widget.style.setProperty(name, value);
  const written = Object.entries(attributes).map(([name, value]) => ` ${name}="${value}"`).join('');
  const style = properties.map(([name, value]) => `\n    ${name}: ${value};`).join('');
  lines.textContent = `<script src="${location.origin}/widget.js" async><\/script>\n<${tag}${written}></${tag}>${
    style ? `\n<style>\n  ${tag} {${style}\n  }\n</style>` : ''}`;
}

editor.addEventListener('input', show);
editor.addEventListener('reset', () => setTimeout(show));
document.getElementById('copy').addEventListener('click', async () => {
  await navigator.clipboard.writeText(lines.textContent).catch(() => getSelection().selectAllChildren(lines));
  copied.textContent = getSelection().isCollapsed ? 'Copied.' : 'Selected: copy it with the keyboard.';
});
show({ target: { name: '' } });
