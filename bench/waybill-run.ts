import type { AdminChannel } from '../integration/network.ts';

const deadlineMs = 30_000;

/** Creates a package and resolves when its snapshot is published. @returns its ID */
export async function publishPackage(admin: AdminChannel, source: string): Promise<string> {
  const { packageId } = await admin.unary(
    'createPackage',
    { properties: { name: 'bench', priority: 'PRIORITY_NORMAL' }, sourceDirectories: [source] },
    { deadlineMs },
  );
  await packageHandled(admin, packageId);
  return packageId;
}

/** Resolves when every accepted request of the package is handled. @throws when one was refused */
export async function packageHandled(admin: AdminChannel, packageId: string): Promise<void> {
  for await (const one of admin.serverStream('watchPackage', { packageId }, {})) {
    if (one.state === 'PACKAGE_STATE_FAILED') throw new Error(one.reason);
    const isHandled = one.handledRequestCount === one.acceptedRequestCount;
    if (isHandled && one.state === 'PACKAGE_STATE_PUBLISHED') return;
  }
}

/** Resolves when the DP has this version, verified. */
export async function installed(
  admin: AdminChannel,
  target: { packageId: string; dpId: string; sourceVersion: number },
): Promise<void> {
  const { packageId, dpId, sourceVersion } = target;
  for await (const status of admin.serverStream('watchPackageStatus', { packageId, dpId }, {})) {
    if (status.dpId !== dpId) continue;
    if (status.state === 'PACKAGE_STATUS_STATE_INSTALL_FAILED') throw new Error(status.reason);
    const isInstalled = status.state === 'PACKAGE_STATUS_STATE_INSTALLED';
    if (isInstalled && status.installedVersion >= sourceVersion) return;
  }
}

/** Distributes version 1 to one DP and resolves when it is there, verified and durable. */
export async function distribute(
  admin: AdminChannel,
  packageId: string,
  dpId: string,
): Promise<void> {
  await admin.unary('distributePackage', { packageId, dpIds: [dpId] }, { deadlineMs });
  await installed(admin, { packageId, dpId, sourceVersion: 1 });
}
