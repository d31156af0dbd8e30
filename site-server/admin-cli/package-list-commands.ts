import type { Tone } from '../../shared/runtime/text-style.ts';
import { toTimeText } from '../../shared/runtime/time-text.ts';
import { type Command, command } from './command.ts';
import { type PackageRecord, toPackageRecord } from './package-record.ts';
import { packageIdPositional } from './package-request.ts';
import { type PackageStatusRecord, toPackageStatusRecord } from './package-status-record.ts';
import type { Session } from './session.ts';
import { packageStatusColumns } from './status-columns.ts';
import type { Column } from './table.ts';
import { toByteText, toCountOf, toCountText } from './units.ts';

const listPackages = command({
  path: 'package list',
  summary: 'All packages with their state and how many DPs have them',
  example: 'waybill package list',
  options: (parser) => parser,
  run: async (_args, { admin, output }) => {
    const packages = (await admin.list('listPackages', {})).map(toPackageRecord);
    output.list(
      packages,
      columnsOf(packages),
      'There are no packages. "waybill package create" makes one.',
    );
  },
});

const showPackage = command({
  path: 'package show',
  positionals: '<package-id>',
  summary: 'Everything about one package',
  example: 'waybill package show PS100001',
  options: (parser) => parser.positional('package-id', packageIdPositional),
  run: async ({ packageId }, session) => {
    const wire = await session.admin.ask('getPackage', { packageId });
    // Only this answer has the icon's bytes.
    const record = { ...toPackageRecord(wire), iconBytes: wire.properties?.icon.length ?? 0 };
    const rows = await session.admin.list('listPackageStatus', { packageId });
    const status = rows.map(toPackageStatusRecord).filter(({ dpId }) => dpId !== '');
    tellPackage(session, record, status);
  },
});

/** `waybill package list` and `waybill package show`. */
export const packageListCommands: readonly Command[] = [listPackages, showPackage];

function columnsOf(packages: readonly PackageRecord[]): readonly Column<PackageRecord>[] {
  const isOneSite = new Set(packages.map(({ sourceSiteCode }) => sourceSiteCode)).size <= 1;
  const isStored = packages.every((row) => row.storedVersion === row.sourceVersion);
  return [
    { title: 'package', text: (row) => row.packageId },
    { title: 'name', text: (row) => row.name },
    { title: 'version', text: (row) => row.version },
    { title: 'source version', text: (row) => String(row.sourceVersion), align: 'right' },
    { title: 'here', text: (row) => (isStored ? '' : toStoredText(row)), align: 'right' },
    { title: 'from', text: (row) => (isOneSite ? '' : row.sourceSiteCode) },
    { title: 'state', text: (row) => row.state, tone: toneOfPackage },
    { title: 'files', text: (row) => toCountText(row.fileCount), align: 'right' },
    { title: 'size', text: (row) => toByteText(row.sizeBytes), align: 'right' },
    { title: 'on DPs', text: toInstalledText, align: 'right' },
    { title: 'groups', text: (row) => row.groupNames.join(', ') },
    { title: 'reason', text: (row) => row.reason },
  ];
}

/** The version that is stored at the site that answers. */
function toStoredText({ storedVersion }: PackageRecord): string {
  return storedVersion > 0 ? String(storedVersion) : 'none';
}

function toneOfPackage({ state }: PackageRecord): Tone {
  if (state === 'published') return 'good';
  return state === 'failed' ? 'bad' : 'busy';
}

function toInstalledText({ counts }: PackageRecord): string {
  return `${counts.installed} of ${counts.targeted}`;
}

function tellPackage(
  { output, clock, timeZone }: Session,
  record: PackageRecord & { readonly iconBytes: number },
  status: readonly PackageStatusRecord[],
): void {
  output.facts({ ...record, status }, [
    ['package', record.packageId],
    ['name', record.name],
    ['version', record.version],
    ['manufacturer', record.manufacturer],
    ['language', record.language],
    ['description', record.description],
    ['priority', record.priority],
    ['icon', record.iconName === '' ? '' : `${record.iconName} (${toByteText(record.iconBytes)})`],
    ...record.programs.map(
      ({ name, commandLine }) => ['program', `${name}=${commandLine}`] as const,
    ),
    ...record.sourceDirectories.map((directory) => ['source', directory] as const),
    ['source site', record.sourceSiteCode],
    ['source version', String(record.sourceVersion)],
    ['stored here', record.storedVersion === record.sourceVersion ? '' : toStoredText(record)],
    ['state', record.state],
    ['reason', record.reason],
    ['content', `${toCountOf(record.fileCount, 'file')}, ${toByteText(record.sizeBytes)}`],
    ['hash', record.packageHash],
    ['created', toTimeText(record.createdAtMs, timeZone)],
    ['changed', toTimeText(record.updatedAtMs, timeZone)],
    ['on DPs', toInstalledText(record)],
    ['groups', record.groupNames.join(', ')],
  ]);
  if (output.json || status.length === 0) return;
  output.line('');
  const rowColumns = packageStatusColumns(status, clock.nowMs()).filter(
    ({ title }) => title !== 'package',
  );
  output.list(status, rowColumns, '');
}
