import { join } from 'node:path';
import { libraryDirectoryOf, type SiteSettings } from './site-ground.ts';

/** Of the data directory, what is refused also where its file system is mounted a second time. */
const keyDirectories = ['authority', 'identity', 'signing-keys'];

/**
 * Where a site server keeps its own files, keys among them: directories, and single files that may be
 * elsewhere. No package has its source there, or around it.
 */
export function ownPlacesOf(config: SiteSettings): string[] {
  const { dataDirectory, logDirectory, configFile, certificates, authority } = config;
  const { caFile, certificateFile, keyFile } = certificates;
  const files = [caFile, certificateFile, keyFile, authority.rootPassphraseFile, configFile];
  return [
    ...[dataDirectory, libraryDirectoryOf(config), logDirectory],
    ...keyDirectories.map((name) => join(dataDirectory, name)),
    ...files.filter((path) => path !== undefined),
  ];
}
