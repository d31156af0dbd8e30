import { readFile } from 'node:fs/promises';
import type { z } from 'zod';
import { WaybillError } from '../domain/errors.ts';
import { type ConfigProblem, expectedText, toConfigProblems } from './config-problems.ts';
import { toSystemReason } from './system-reason.ts';
import { readYaml } from './yaml-text.ts';

export interface ConfigSources<S extends z.ZodType> {
  /** Made of `z.strictObject`s, so that unknown keys are refused; holds the defaults. */
  readonly schema: S;
  /** Path of a YAML file; undefined when there is none. */
  readonly file: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /**
   * Variables that begin so are ours: after it, `__` separates levels and `_` words, so that
   * `WAYBILL_DP_CONTENT_LIBRARY__DIRECTORY` is `contentLibrary.directory` with `WAYBILL_DP_`.
   */
  readonly environmentPrefix: string;
  /** Values by dotted path, such as `contentLibrary.directory`; undefined ones are not given. */
  readonly flags: Readonly<Record<string, unknown>>;
}

/** A value that came with a path of its own, from the environment or a flag. */
interface Setting {
  readonly path: readonly string[];
  readonly value: unknown;
  /** As whoever set it wrote it, such as `--log-level`. */
  readonly origin: string;
}

type Tree = { [key: string]: unknown };

/** Levels of a dotted path; no configuration of ours has half as many. */
const levelsMax = 16;
/** So much of a name that is refused is told. */
const shownCharactersMax = 80;

/**
 * The configuration of a program: defaults < file < environment < flags, checked and deeply frozen.
 * A text from the environment or a flag that is refused as a text is read as YAML, so `"8080"` does
 * for a number and `[a, b]` for a list.
 *
 * @throws CONFIG_INVALID with what is wrong, the first 20 of it, each with its path, its value and what was expected; of what is
 *   deeper than any configuration, that alone
 */
export async function loadConfig<S extends z.ZodType>(
  sources: ConfigSources<S>,
): Promise<z.output<S>> {
  const settings = [...environmentSettings(sources), ...flagSettings(sources.flags)];
  requireFewLevels(sources.file, settings);
  const { tree, lineOf } = await readTree(sources.file);
  for (const setting of settings) setIn(tree, setting.path, setting.value);
  let result = sources.schema.safeParse(tree);
  if (!result.success) {
    readTextsAsYaml(tree, settings, result.error.issues);
    result = sources.schema.safeParse(tree);
  }
  if (result.success) return deepFreeze(result.data);
  const originOf = (path: readonly PropertyKey[]) =>
    settings.findLast((setting) => startsWith(path, setting.path))?.origin ?? lineOf(path);
  throw invalid(
    sources.file,
    toConfigProblems(sources.schema, tree, result.error.issues, originOf),
  );
}

/** What a file says, and where in it. */
interface ConfigFile {
  readonly tree: Tree;
  /** `line 3`; undefined when it says nothing of that. */
  readonly lineOf: (path: readonly PropertyKey[]) => string | undefined;
}

async function readTree(file: string | undefined): Promise<ConfigFile> {
  if (file === undefined) return { tree: emptyTree(), lineOf: () => undefined };
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    const text = `expected a YAML file that can be read; ${toSystemReason(error)}`;
    throw invalid(file, [{ path: file, text }]);
  });
  const read = readYaml(text);
  if ('problems' in read) throw invalid(file, read.problems(file));
  const { lineOf } = read;
  // An empty file says nothing.
  const value = read.value ?? {};
  if (isTree(value)) return { tree: copyOf(value), lineOf };
  throw invalid(file, [{ path: file, text: expectedText('keys with values', value) }]);
}

function environmentSettings(sources: ConfigSources<z.ZodType>): Setting[] {
  const prefix = sources.environmentPrefix;
  return Object.entries(sources.environment).flatMap(([name, value]) =>
    name.startsWith(prefix) && value !== undefined
      ? { path: name.slice(prefix.length).split('__').map(toCamelCase), value, origin: name }
      : [],
  );
}

function flagSettings(flags: ConfigSources<z.ZodType>['flags']): Setting[] {
  return Object.entries(flags).flatMap(([name, value]) =>
    value === undefined ? [] : { path: name.split('.'), value, origin: `--${name}` },
  );
}

/** Whatever works on the tree goes down into it level by level. */
function requireFewLevels(file: string | undefined, settings: readonly Setting[]): void {
  const tooDeep = settings.filter(({ path }) => path.length > levelsMax);
  if (tooDeep.length === 0) return;
  const problems = tooDeep.map(({ path, origin }) => ({
    path: `${origin.slice(0, shownCharactersMax)}…`,
    text: `expected a name of at most ${levelsMax} levels, got ${path.length}`,
  }));
  throw invalid(file, problems);
}

function toCamelCase(words: string): string {
  return words.toLowerCase().replace(/_([a-z0-9])/g, (_, first: string) => first.toUpperCase());
}

function readTextsAsYaml(
  tree: Tree,
  settings: readonly Setting[],
  issues: readonly z.core.$ZodIssue[],
): void {
  for (const { path, value } of settings) {
    if (typeof value !== 'string' || !issues.some((issue) => startsWith(issue.path, path)))
      continue;
    const read = readYaml(value);
    // What is not YAML either stays a text, and is refused as one.
    if ('value' in read) setIn(tree, path, read.value);
  }
}

function setIn(tree: Tree, path: readonly string[], value: unknown): void {
  const [key = '', ...rest] = path;
  if (rest.length === 0) {
    tree[key] = value;
    return;
  }
  const inner = tree[key];
  const branch = isTree(inner) ? inner : emptyTree();
  tree[key] = branch;
  setIn(branch, rest, value);
}

function startsWith(path: readonly PropertyKey[], start: readonly string[]): boolean {
  return start.every((key, index) => String(path[index]) === key);
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Without a prototype: a key such as `__proto__` is then a key like any other, and refused. */
function emptyTree(): Tree {
  return Object.create(null) as Tree;
}

function copyOf(tree: Tree): Tree {
  const copy = emptyTree();
  for (const [key, value] of Object.entries(tree))
    copy[key] = isTree(value) ? copyOf(value) : value;
  return copy;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}

/** One slip of a pen may make thousands. */
const problemsToldMax = 20;

function invalid(file: string | undefined, problems: readonly ConfigProblem[]): WaybillError {
  const lines = problems.slice(0, problemsToldMax).map(({ path, text }) => `  ${path}: ${text}`);
  if (problems.length > lines.length) lines.push(`  and ${problems.length - lines.length} more`);
  return new WaybillError({
    code: 'CONFIG_INVALID',
    path: file ?? 'from environment and flags',
    problems: lines.join('\n'),
  });
}
