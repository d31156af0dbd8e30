import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ProgramEnd } from './programs.ts';
import { scanKept } from './secrets/produced-output.ts';

/** Something of this run alone, and what stands for it. */
export type Stand = readonly [found: string | RegExp, standIn: string];

/** What differs from run to run in every session. */
const everywhere: readonly Stand[] = [
  [/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?/g, '<time>'],
  [/\d+ (s|min) ago/g, '<age> ago'],
  [/just now/g, '<age> ago'],
  [/\b[0-9a-f]{64}\b/g, '<hash>'],
  [/127\.0\.0\.1:\d+/g, '<address>'],
  [/durationMs=[\d.]+/g, 'durationMs=<ms>'],
  [/\b\d+(\.\d)? (ms|s|min)\b(?! ago)/g, '<duration>'],
  [/\d+(\.\d)? [KMGT]iB(?!\/s)/g, '<size>'],
];

/** Figures of JSON that differ from run to run. */
const varyingFigure = /(Ms|bytesPerSecond|freeBytes)$/;

/**
 * A session of `waybill` as an administrator sees it: command, output, exit code; held equal to
 * `transcripts/<name>.txt`. With WAYBILL_TEST_UPDATE=1 that file is written instead; read the diff.
 */
export class Transcript {
  readonly #path: string;
  readonly #stands: readonly Stand[];
  readonly #parts: string[] = [];

  /** @param stands what this session has of its own, such as directories; they go first */
  constructor(name: string, stands: readonly Stand[] = []) {
    const path = new URL(`../../integration/transcripts/${name}.txt`, import.meta.url);
    this.#path = fileURLToPath(path);
    this.#stands = [...stands, ...everywhere];
  }

  add(words: readonly string[], { exitCode, stdout, stderr }: ProgramEnd): void {
    const output = words.includes('--json') ? toStableJson(stdout) : withoutProgress(stdout);
    const lines = [`$ waybill ${words.join(' ')}`, output, stderr, `[exit code ${exitCode}]`];
    const text = lines.filter((line) => line !== '').map((line) => line.trimEnd());
    this.#parts.push(this.#standIn(text.join('\n')));
  }

  async hold(): Promise<void> {
    const text = `${this.#parts.join('\n\n')}\n`;
    scanKept(text, this.#path);
    if (process.env.WAYBILL_TEST_UPDATE === '1') {
      await mkdir(dirname(this.#path), { recursive: true });
      await writeFile(this.#path, text);
    }
    assert.equal(text, await readFile(this.#path, 'utf8'));
  }

  /** Columns are as wide as what stands in them: only that there is a gap counts. */
  #standIn(text: string): string {
    let result = text;
    for (const [found, standIn] of this.#stands) result = result.replaceAll(found, standIn);
    return result.replaceAll(/(\S) {2,}/g, '$1  ').replaceAll(/ +$/gm, '');
  }
}

/** How often progress is told depends on the speed of the machine. */
function withoutProgress(text: string): string {
  const progress = /^(Package )?PS\w{6}( on \w+)?: (?!(installed|removed)$).*\n/gm;
  return text.replaceAll(progress, '');
}

function toStableJson(text: string): string {
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.stringify(JSON.parse(line, toStable), undefined, 2)).join('\n');
}

function toStable(key: string, value: unknown): unknown {
  return typeof value === 'number' && value !== 0 && varyingFigure.test(key) ? `<${key}>` : value;
}
