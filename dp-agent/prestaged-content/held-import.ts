import { parsePackageId } from '../../shared/domain/package.ts';

/** What stands in the directory of an import whose files are held. */
export interface HeldImport {
  readonly packageId: string;
  readonly sourceVersion: number;
  readonly keptUntilMs: number;
}

/** The text of its file. */
export function heldImportText({ packageId, sourceVersion, keptUntilMs }: HeldImport): string {
  return JSON.stringify({ packageId, sourceVersion, keptUntilMs });
}

/** What the text says; undefined when the disk has damaged it: what is held for ever would be worse. */
export function parseHeldImport(text: string): HeldImport | undefined {
  const held = jsonIn(text);
  if (typeof held !== 'object' || held === null) return undefined;
  const { packageId, sourceVersion, keptUntilMs }: Partial<Record<keyof HeldImport, unknown>> =
    held;
  const isSound =
    typeof packageId === 'string' &&
    parsePackageId(packageId) !== undefined &&
    isCount(sourceVersion) &&
    isCount(keptUntilMs);
  return isSound ? { packageId, sourceVersion, keptUntilMs } : undefined;
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
