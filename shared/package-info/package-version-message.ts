import type { ContentDescriptor } from '../domain/content.ts';
import type { PackageProperties, PackageVersion } from '../domain/package.ts';
import type { ContentDescriptor as ContentDescriptorMessage } from '../rpc/generated/waybill/v1/ContentDescriptor.ts';
import type { PackageProperties as PackagePropertiesMessage } from '../rpc/generated/waybill/v1/PackageProperties.ts';
import type { PackageVersion as PackageVersionMessage } from '../rpc/generated/waybill/v1/PackageVersion.ts';
import { priorityNames } from './priority-message.ts';

/** A package version as it travels to a DP. */
export function toPackageVersionMessage(version: PackageVersion): PackageVersionMessage {
  return {
    packageId: version.packageId,
    sourceVersion: version.sourceVersion,
    packageHash: Buffer.from(version.packageHash, 'hex'),
    contents: version.contents.map(toContentMessage),
    properties: toPropertiesMessage(version.properties),
  };
}

function toContentMessage(content: ContentDescriptor): ContentDescriptorMessage {
  return {
    ...content,
    contentHash: Buffer.from(content.contentHash, 'hex'),
    signatureHash: Buffer.from(content.signatureHash, 'hex'),
  };
}

function toPropertiesMessage(properties: PackageProperties): PackagePropertiesMessage {
  const { iconBase64, priority, programs, ...rest } = properties;
  return {
    ...rest,
    priority: priorityNames[priority],
    programs: programs.map((program) => ({ ...program })),
    icon: Buffer.from(iconBase64, 'base64'),
  };
}
