import { networkInterfaces } from 'node:os';
import { decodeBundle } from '../../../shared/package-info/package-info-bundle.ts';
import { expectedSiteIfNamed } from '../../../shared/rpc/expected-site.ts';
import type { PeerCredentials } from '../../../shared/rpc/peer-credentials.ts';
import { RpcChannel } from '../../../shared/rpc/rpc-channel.ts';
import type { Clock } from '../../../shared/runtime/clock.ts';
import { openClientLibrary } from './client-library.ts';
import { toClientNetworks } from './client-networks.ts';
import type { PackageAccess } from './package-access.ts';
import { PackageGet } from './package-get.ts';
import { toPackageLocation } from './package-location.ts';
import { downloadStarter } from './start-download.ts';

/** How long a management point may take to say where a package is. */
const locateMsMax = 30_000;

/** The wiring of what `waybill get` does; nothing is sent yet. */
export function openPackageAccess(needs: {
  /** host:port of the site server. */
  server: string;
  /** Which site must answer there. @default any of the hierarchy */
  serverSite?: string | undefined;
  credentials: PeerCredentials;
  clock: Clock;
}): PackageAccess {
  const { clock, credentials } = needs;
  const managementPoint = new RpcChannel({
    conversation: 'ManagementPoint',
    address: needs.server,
    ...expectedSiteIfNamed(needs.serverSite),
    credentials,
  });
  const locate: PackageAccess['locate'] = async (packageId, signal) => {
    const request = { packageId, clientNetworks: toClientNetworks(networkInterfaces()) };
    const options = { deadlineMs: locateMsMax, signal };
    const answer = await managementPoint.unary('locateContent', request, options);
    return toPackageLocation(answer, packageId, decodeBundle);
  };
  const startDownload = downloadStarter({ credentials, clock, random: Math.random });
  const openLibrary = (folder: string) => openClientLibrary(folder, clock);
  const get = new PackageGet({ clock, locate, startDownload, openLibrary });
  return {
    locate,
    get: (request, options) => get.run(request, options),
    close: () => managementPoint.close(),
  };
}
