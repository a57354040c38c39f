import { kafkaMissing } from '@resil/testbed';
import { story } from './story.js';

const missing = await kafkaMissing();
if (missing === undefined) {
  process.exitCode = (await story(console.log, console.error)) ? 0 : 1;
} else {
  console.log(missing);
  process.exitCode = process.env.CI === 'true' ? 1 : 0;
}
