import type { Results } from '../results.js';
export async function writeDocs(_results: Results, _folder: string): Promise<void> {}
