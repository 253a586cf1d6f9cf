// The widget as React and Vue put it on a page, each as one script.
import { build } from 'esbuild';

const bundle = async (contents) => {
  const { outputFiles: [{ text }] } = await build({
    stdin: { contents, resolveDir: import.meta.dirname }, bundle: true, minify: true, write: false,
    define: { 'process.env.NODE_ENV': '"production"', __VUE_OPTIONS_API__: 'true', __VUE_PROD_DEVTOOLS__: 'false', __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false' },
    alias: { vue: 'vue/dist/vue.runtime.esm-bundler.js' },
  });
  return text;
};

/** Each shows a counter and the chat, counts the widget's answers, and hides the chat when told to. */
export const frameworks = {
  React: await bundle(`
    import { StrictMode, createElement as h, useState } from 'react';
    import { createRoot } from 'react-dom/client';
    function Page() {
      const [answers, count] = useState(0);
      const [shown, show] = useState(true);
      return h('main', null, h('h1', null, 'A page'), h('output', null, answers), h('button', { onClick: () => show(!shown) }, 'Toggle'),
        shown && h('docent-chat', { heading: 'Help', 'ondocent-answer': () => count((n) => n + 1) }));
    }
    createRoot(document.getElementById('root')).render(h(StrictMode, null, h(Page)));`),
  Vue: await bundle(`
    import { createApp, h, ref } from 'vue';
    createApp({
      setup() {
        const [answers, shown] = [ref(0), ref(true)];
        return () => h('main', [h('h1', 'A page'), h('output', answers.value), h('button', { onClick: () => { shown.value = !shown.value; } }, 'Toggle'),
          shown.value ? h('docent-chat', { heading: 'Help', 'onDocent-answer': () => { answers.value += 1; } }) : null]);
      },
    }).mount('#root');`),
};
