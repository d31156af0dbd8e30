import { readFileSync } from 'node:fs';

/** The version in the package's own package.json, such as 0.1.0. */
export function agentVersion(): string {
  // Built files lie in dist/shared/runtime.
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(text) as { version: string };
  return version;
}
