#!/usr/bin/env node
/** The program `resil`. */
import { run } from './command-line.js';
import { processTerminal } from './terminal.js';

process.exitCode = await run(process.argv.slice(2), processTerminal());
