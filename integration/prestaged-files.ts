/** What tests of prestaged files have in common: the commands, and files that were altered. */
import assert from 'node:assert/strict';
import { copyFile, open, stat, truncate } from 'node:fs/promises';
import type { AdminChannel } from './network.ts';
import { type ProgramEnd, programs, runProgram, runWaybill } from './programs.ts';

interface CommandLine {
  readonly cliOptions: readonly string[];
}

/** Exports a package where it is and what of it. @returns the path of the file */
export async function exportPackage(
  at: CommandLine,
  packageId: string,
  path: string,
  words: readonly string[] = [],
): Promise<string> {
  const end = await runWaybill(at, ['package', 'export', packageId, '--to', path, ...words]);
  assert.equal(end.exitCode, 0, end.stderr);
  return path;
}

/** What became of an import, as `--json` says it. */
export async function importPackage(at: CommandLine, path: string): Promise<{ state: string }> {
  const end = await runWaybill(at, ['package', 'import', path, '--json']);
  assert.equal(end.exitCode, 0, end.stderr);
  return JSON.parse(end.stdout) as { state: string };
}

/** Exports over gRPC. @throws what the site refuses */
export async function exportOver(
  admin: AdminChannel,
  packageId: string,
  path: string,
): Promise<void> {
  for await (const _ of admin.serverStream('exportPackage', { packageId, path }, {}));
}

/** Imports over gRPC. @throws what the site refuses */
export async function importOver(admin: AdminChannel, path: string): Promise<void> {
  for await (const _ of admin.serverStream('importPackage', { path }, {}));
}

/** The import fails, with these words. */
export function isRefused(admin: AdminChannel, path: string, message: RegExp): Promise<void> {
  return assert.rejects(importOver(admin, path), { name: 'WaybillError', message });
}

/** Runs `waybill-dp import` on the machine of a DP, whose agent runs. */
export function importAtDp(
  dp: { readonly configPath: string; readonly address: string },
  path: string,
): Promise<ProgramEnd> {
  const words = ['import', path, '--config', dp.configPath, '--agent', dp.address];
  return runProgram(programs.waybillDp, words);
}

/** A copy with one bit changed, so many bytes from its beginning; from its end when negative. */
export async function withBitFlipped(path: string, offset: number): Promise<string> {
  const altered = `${path}.bit${offset}`;
  await copyFile(path, altered);
  const { size } = await stat(altered);
  const position = offset < 0 ? size + offset : offset;
  await using file = await open(altered, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, position);
  await file.write(Buffer.of((byte[0] ?? 0) ^ 1), 0, 1, position);
  return altered;
}

/** A copy of so many bytes; without the last of them when negative. */
export async function cutTo(path: string, bytes: number): Promise<string> {
  const altered = `${path}.cut${bytes}`;
  await copyFile(path, altered);
  await truncate(altered, bytes < 0 ? (await stat(path)).size + bytes : bytes);
  return altered;
}
