import type { LockedModule } from './locked-modules.ts';
import { programDirectory } from './program-tree.ts';

/**
 * Who has written what is in the package, and what may be done with it.
 *
 * @param epochSeconds when it was made
 */
export function copyrightText(modules: readonly LockedModule[], epochSeconds: number): string {
  const year = new Date(epochSeconds * 1_000).getUTCFullYear();
  const rows = modules.map(
    ({ path, version, license }) =>
      `  ${path.replace(/^node_modules\//, '')} ${version}: ${license}`,
  );
  return `Waybill moves software packages from one place to every distribution point of an
organisation.

Copyright (c) ${year} the developers of Waybill. Waybill itself may be used under the Apache License, version 2.0:
/usr/share/common-licenses/Apache-2.0.

The programs come with Node.js, ${programDirectory}/bin/node. Its licence, and those of all that
is built into it: /usr/share/doc/waybill/node-license.gz.

They come with these modules, whose licences lie beside them in ${programDirectory}/node_modules:

${rows.join('\n')}
`;
}
