import { toIdentityUri } from '../../shared/domain/peer-identity.ts';
import { toSourceName } from './get-view.ts';
import type { LocatedSource, PackageLocation } from './package-get/package-location.ts';
import type { Session } from './session.ts';
import type { Column } from './table.ts';
import { toByteText, toCountOf } from './units.ts';

const priorities = { 1: 'high', 2: 'normal', 3: 'low' } as const;

const columns: readonly Column<LocatedSource>[] = [
  { title: 'from', text: toSourceName },
  { title: 'address', text: (source) => source.address },
  { title: 'rank', text: (source) => String(source.rank), align: 'right' },
  { title: 'why', text: (source) => source.nearness.replaceAll('-', ' ') },
];

/** Tells what a package is and where it can be fetched, best source first. */
export function tellLocation({ output }: Session, { version, sources }: PackageLocation): void {
  const { packageId, sourceVersion, packageHash, contents, properties } = version;
  const { iconBase64, priority, ...described } = properties;
  const iconBytes = Buffer.from(iconBase64, 'base64').length;
  const fileCount = contents.reduce((sum, content) => sum + content.fileCount, 0);
  const sizeBytes = contents.reduce((sum, content) => sum + content.sizeBytes, 0);
  const record = {
    packageId,
    ...described,
    priority: priorities[priority],
    iconBytes,
    sourceVersion,
    fileCount,
    sizeBytes,
    packageHash,
    contentIds: contents.map(({ contentId }) => contentId),
    sources: sources.map(({ identity, address, rank, nearness }) => {
      return { source: toIdentityUri(identity), address, rank, nearness };
    }),
  };
  output.facts(record, [
    ['package', packageId],
    ['name', record.name],
    ['version', record.version],
    ['manufacturer', record.manufacturer],
    ['language', record.language],
    ['description', record.description],
    ['priority', record.priority],
    ['icon', record.iconName === '' ? '' : `${record.iconName} (${toByteText(iconBytes)})`],
    ...record.programs.map(
      ({ name, commandLine }) => ['program', `${name}=${commandLine}`] as const,
    ),
    ['source version', String(sourceVersion)],
    ['content', `${toCountOf(fileCount, 'file')}, ${toByteText(sizeBytes)}`],
    ['hash', packageHash],
  ]);
  if (output.json) return;
  output.line('');
  output.list(sources, columns, '');
}
