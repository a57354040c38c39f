import { story } from './story.js';

await story((line) => console.log(line));
