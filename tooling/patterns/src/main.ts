// `pnpm patterns`: draws the pictures of docs/patterns and fills in its tables.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fillIn, pagesFolder } from './pages.js';
import { drawPicture } from './picture.js';
import { scenarios } from './scenarios.js';

for (const [name, scenario] of Object.entries(scenarios)) {
  writeFileSync(new URL(`${name}.svg`, pagesFolder), drawPicture(await scenario()));
  console.log(`docs/patterns/${name}.svg`);
}
for (const name of readdirSync(pagesFolder).filter((file) => file.endsWith('.md'))) {
  const file = new URL(name, pagesFolder);
  writeFileSync(file, fillIn(readFileSync(file, 'utf8')));
  console.log(`docs/patterns/${name}`);
}
