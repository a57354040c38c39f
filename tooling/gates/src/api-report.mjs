// The public surface of a package as text, so that every change of it shows in a diff. Made by API
// Extractor from the emitted declarations.

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {
  Extractor,
  ExtractorConfig,
  ExtractorLogLevel,
  ExtractorMessageCategory,
} from '@microsoft/api-extractor';
import { bundleSizes, sizeChanges, sizedFolder, sizesText, splitReport } from './bundle-size.mjs';
import { publishedPackages, root } from './workspace.mjs';

export const reportName = 'api-report.md';

const none = { logLevel: ExtractorLogLevel.None, addToApiReportFile: false };
const inReport = { logLevel: ExtractorLogLevel.None, addToApiReportFile: true };

const made = new Map();

/** The report of the package in `folder` (relative to the root), from its built declarations. */
export function makeReport(folder) {
  const report = made.get(folder) ?? extract(folder);
  made.set(folder, report);
  return report;
}

function extract(folder) {
  const projectFolder = path.join(root, folder);
  const entry = path.join(projectFolder, 'dist/index.d.ts');
  if (!fs.existsSync(entry)) {
    throw new Error(`${folder}/dist/index.d.ts is missing: run \`pnpm build\` first`);
  }
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'resil-api-'));
  const errors = [];
  try {
    const config = ExtractorConfig.prepare({
      configObjectFullPath: path.join(projectFolder, 'api-extractor.json'),
      packageJsonFullPath: path.join(projectFolder, 'package.json'),
      configObject: {
        projectFolder,
        mainEntryPointFilePath: entry,
        newlineKind: 'lf',
        compiler: {
          overrideTsconfig: {
            compilerOptions: {
              target: 'ES2022',
              lib: ['ES2023'],
              module: 'NodeNext',
              moduleResolution: 'NodeNext',
              strict: true,
              skipLibCheck: true,
              types: ['node'],
              typeRoots: [path.join(root, 'node_modules/@types')],
            },
            files: [entry],
          },
        },
        apiReport: {
          enabled: true,
          reportFileName: 'report.api.md',
          reportFolder: scratch,
          reportTempFolder: scratch,
        },
        docModel: { enabled: false },
        dtsRollup: { enabled: false },
        tsdocMetadata: { enabled: false },
        messages: {
          compilerMessageReporting: { default: none },
          extractorMessageReporting: { default: none, 'ae-forgotten-export': inReport },
          tsdocMessageReporting: { default: none },
        },
      },
    });
    Extractor.invoke(config, {
      localBuild: true,
      messageCallback(message) {
        message.handled = true;
        if (message.category === ExtractorMessageCategory.Compiler) errors.push(message.text);
      },
    });
    if (errors.length > 0) {
      throw new Error(`${folder}/dist has declarations that don't compile:\n${errors.join('\n')}`);
    }
    return fs.readFileSync(path.join(scratch, 'report.api.md'), 'utf8');
  } finally {
    fs.rmSync(scratch, { recursive: true, force: true });
  }
}

/** The checked-in report, or an empty text. */
export function readReport(folder) {
  const file = path.join(root, folder, reportName);
  return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
}

/** The part of the checked-in report that `makeReport` makes. */
export const readSurface = (folder) => splitReport(readReport(folder)).surface;

/**
 * Writes the report of every published package; returns the files that changed. Sizes are rewritten
 * when one differs by more than is tolerated: a byte more or less is not worth a diff.
 */
export async function updateReports() {
  const changed = [];
  for (const { folder } of publishedPackages()) {
    let report = makeReport(folder);
    if (folder === sizedFolder) {
      const { sizes: kept } = splitReport(readReport(folder));
      const now = await bundleSizes();
      const sizes = sizeChanges(kept, now).length > 0 ? now : kept;
      report = `${report}\n${sizesText(sizes)}`;
    }
    if (report === readReport(folder)) continue;
    fs.writeFileSync(path.join(root, folder, reportName), report);
    changed.push(`${folder}/${reportName}`);
  }
  return changed;
}
