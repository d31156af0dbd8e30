import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { z } from 'zod';

interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly enum?: readonly string[];
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
}

/** Beyond this a bound only says that numbers are finite. */
const boundMax = Number.MAX_SAFE_INTEGER;

/**
 * Holds the table of a program's configuration in docs/configuration.md equal to its schema. With
 * UPDATE_DOCS=1 in the environment the table is written instead.
 */
export async function assertConfigPage(program: string, schema: z.ZodType): Promise<void> {
  const page = new URL('../../../docs/configuration.md', import.meta.url);
  const text = await readFile(page, 'utf8');
  const begin = `<!-- keys of ${program} -->\n`;
  const end = `<!-- end of ${program} -->`;
  const start = text.indexOf(begin) + begin.length;
  const stop = text.indexOf(end);
  assert.ok(start >= begin.length && stop >= start, `docs/configuration.md has no part ${begin}`);
  const table = toTable(z.toJSONSchema(schema, { io: 'input' }) as JsonSchema);
  if (process.env.UPDATE_DOCS === '1') {
    await writeFile(page, text.slice(0, start) + table + text.slice(stop));
    return;
  }
  assert.equal(text.slice(start, stop), table);
}

function toTable(schema: JsonSchema): string {
  const rows = rowsOf(schema, '');
  return `\n| key | values | default | meaning |\n|---|---|---|---|\n${rows.join('\n')}\n\n`;
}

function rowsOf(schema: JsonSchema, prefix: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, one]) => {
    if (one.properties) return rowsOf(one, `${prefix}${name}.`);
    const isRequired = schema.required?.includes(name) ?? false;
    const standard = isRequired ? '**required**' : toDefault(one.default);
    return [`| \`${prefix}${name}\` | ${toValues(one)} | ${standard} | ${one.description ?? ''} |`];
  });
}

function toDefault(value: unknown): string {
  return value === undefined ? '' : `\`${String(value)}\``;
}

function toValues({ enum: choices, type, minimum, maximum }: JsonSchema): string {
  if (choices) return choices.join(', ');
  if (type !== 'integer') return type === 'string' ? 'text' : (type ?? '');
  const low = minimum !== undefined && minimum > -boundMax ? `${minimum}` : '';
  const high = maximum !== undefined && maximum < boundMax ? ` to ${maximum}` : ' or more';
  return `${low}${high}`;
}
