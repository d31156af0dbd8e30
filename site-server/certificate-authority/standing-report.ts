import { join } from 'node:path';
import { readSecretFile, writeSecretFile } from '../../shared/certificates/secret-files.ts';
import { toMomentText } from '../../shared/domain/moment-text.ts';
import { parseHolder } from '../../shared/domain/revocation.ts';
import {
  isNobodyBehind,
  type RootStanding,
  type StandingReport,
} from '../../shared/domain/root-standing.ts';
import { parseSiteCode } from '../../shared/domain/site.ts';

const fileName = 'root-standings.json';
/** The latest time a date can have. */
const latestMs = 8.64e15;
/** The server looks each minute: an older report is one of a server that does not run. */
const freshMs = 10 * 60_000;

/**
 * Writes who would be cut off, beside the keys, for the command that retires a root; in one step.
 *
 * @throws DISK_FULL; CERTIFICATE_INVALID when it cannot be written for another reason of the system
 */
export function writeStandingReport(directory: string, report: StandingReport): Promise<void> {
  return writeSecretFile(join(directory, fileName), `${JSON.stringify(report, null, 2)}\n`);
}

/**
 * What the server has last seen; undefined when it has seen nothing of these roots, or not for ten minutes: it does
 * not run.
 */
export async function readStandingReport(
  directory: string,
  { generation, nowMs }: { readonly generation: number; readonly nowMs: number },
): Promise<StandingReport | undefined> {
  const text = await readSecretFile(join(directory, fileName));
  const report = text === undefined ? undefined : parseStandingReport(text);
  const isOfNow = report?.generation === generation && Math.abs(nowMs - report.seenAtMs) <= freshMs;
  return isOfNow ? report : undefined;
}

/** Names told before the others are counted. */
const namesToldMax = 20;

/** Who would be cut off, and what brings each back, in lines; none when nobody would be. */
export function toStandingLines(report: StandingReport | undefined): string[] {
  if (!report) return unknown;
  if (isNobodyBehind(report)) return [];
  const { standings, silent } = report;
  const seen = toMomentText(report.seenAtMs);
  return [
    ...(standings.length > 0
      ? [`Who stands on the old root still, as this site knew at ${seen}:`]
      : []),
    ...standings.flatMap(({ siteCode, behind, behindCount }) => {
      const names = behind.slice(0, namesToldMax);
      const others = behindCount - names.length;
      return listed(`  at ${siteCode}:`, others > 0 ? [...names, `and ${others} others`] : names);
    }),
    ...(silent.length > 0
      ? listed('Sites that have not said who stands on it there:', silent)
      : []),
    ...whatBringsBack,
  ];
}

/** Names after a heading, in lines that a terminal shows whole. */
function listed(heading: string, names: readonly string[]): string[] {
  const lines = [heading];
  for (const [index, name] of names.entries()) {
    const word = index < names.length - 1 ? `${name},` : name;
    const line = `${lines.at(-1)} ${word}`;
    if (line.length <= lineCharsMax) lines[lines.length - 1] = line;
    else lines.push(`    ${word}`);
  }
  return lines;
}

const lineCharsMax = 80;

const unknown = [
  'Nobody knows who stands on the old root still: the site server has not looked',
  'since the root changed, or does not run. Start it, and wait two minutes.',
];

const whatBringsBack = [
  'Who trusts the new root already comes back by himself within an hour or so. Who',
  'was off since it was made, or has not heard of it, needs a new token, made at',
  'his site by one of these; the command that it prints takes --force:',
  '  waybill dp enroll DP, waybill site enroll SITE, waybill admin enroll NAME,',
  '  waybill client enroll NAME',
  'Who is gone for good is deleted, a client revoked:',
  '  waybill dp delete DP, waybill site delete SITE, waybill admin delete NAME,',
  '  waybill certs revoke client/NAME',
];

/** What the text of such a file says; undefined when it is spoilt. */
export function parseStandingReport(text: string): StandingReport | undefined {
  try {
    const report: unknown = JSON.parse(text);
    return isStandingReport(report) ? report : undefined;
  } catch {
    // Somebody's editor.
    return undefined;
  }
}

/** Whether somebody has left it as it was written. */
function isStandingReport(value: unknown): value is StandingReport {
  if (typeof value !== 'object' || value === null) return false;
  const { seenAtMs, generation, standings, silent }: Partial<StandingReport> = value;
  return (
    isCount(seenAtMs) &&
    seenAtMs <= latestMs &&
    isCount(generation) &&
    isListOf(silent, parseSiteCode) &&
    Array.isArray(standings) &&
    standings.every(isStanding)
  );
}

function isStanding(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { siteCode, behind, behindCount }: Partial<RootStanding> = value;
  return (
    isListOf([siteCode], parseSiteCode) && isListOf(behind, parseHolder) && isCount(behindCount)
  );
}

function isListOf(value: unknown, parse: (text: string) => string | undefined): boolean {
  if (!Array.isArray(value)) return false;
  return value.every((one) => typeof one === 'string' && parse(one) !== undefined);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
