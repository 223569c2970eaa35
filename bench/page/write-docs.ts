import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Results } from '../results.js';
import { renderDocs } from './page.js';

/** Writes the page, its results and its plots into a folder. */
export async function writeDocs(results: Results, folder: string): Promise<void> {
  for (const [file, content] of Object.entries(renderDocs(results))) {
    const target = path.join(folder, file);
    await mkdir(path.dirname(target), { recursive: true });
    await writeFile(target, content);
  }
}
