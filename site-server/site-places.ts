import { libraryDirectoryOf, type SiteSettings } from './site-ground.ts';

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
    ...files.filter((path) => path !== undefined),
  ];
}
