import { type ContentDescriptor, parseContentId } from '../domain/content.ts';
import { WaybillError } from '../domain/errors.ts';
import { invalidMessage, requireHash } from '../package-info/package-version.ts';
import type { ContentName__Output } from '../rpc/generated/waybill/v1/ContentName.ts';

/** Which content a peer means, and what its manifest and signature must be. */
export type ContentName = Pick<ContentDescriptor, 'contentId' | 'contentHash' | 'signatureHash'>;

/** The content a call names, checked. @throws MESSAGE_INVALID */
export function requireContentName(name: ContentName__Output | null | undefined): ContentName {
  if (!name) throw invalidMessage('content', 'the name of a content', 'nothing');
  const contentId = parseContentId(name.contentId);
  if (contentId === undefined) {
    throw invalidMessage('content.content_id', 'a content ID such as PS100001.1', name.contentId);
  }
  return {
    contentId,
    contentHash: requireHash('content.content_hash', name.contentHash),
    signatureHash: requireHash('content.signature_hash', name.signatureHash),
  };
}

/** Whether this is the very content that is named: an ID alone may be said of anything. */
export function isNamed(content: ContentDescriptor, name: ContentName): boolean {
  return (
    content.contentId === name.contentId &&
    content.contentHash === name.contentHash &&
    content.signatureHash === name.signatureHash
  );
}

/** The refusal of what is neither here nor arriving. */
export function notHeld({ contentId }: ContentName): WaybillError {
  return new WaybillError({ code: 'CONTENT_NOT_HELD', contentId });
}
