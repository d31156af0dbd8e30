/** Addresses that stand for all of a machine, or cannot be reached from another one by themselves. */
const wildcards: readonly string[] = ['0.0.0.0', '[::]', '*', ''];

/**
 * host:port by which others reach a site: what is configured; or else where it listens, with the
 * machine's name in the place of an address that stands for all of its own.
 */
export function siteAddressOf(
  config: { readonly address?: string | undefined; readonly listen: string },
  hostName: string,
): string {
  if (config.address !== undefined) return config.address;
  const portAt = config.listen.lastIndexOf(':');
  const host = config.listen.slice(0, portAt);
  return wildcards.includes(host) ? `${hostName}${config.listen.slice(portAt)}` : config.listen;
}
