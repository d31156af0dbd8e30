import { z } from 'zod';
import {
  addressForm,
  parseAddress,
  parseDistributionPointId,
} from '../../shared/domain/distribution-point.ts';
import { parseObjectName } from '../../shared/domain/object-name.ts';
import { parsePackageId } from '../../shared/domain/package.ts';
import { requestLimits as limits } from '../../shared/domain/request-limits.ts';
import { parseSiteCode } from '../../shared/domain/site.ts';

const sentenceCharsMax = 16_384;
/** Fields of a newer program in one object of a row, as JSON. */
const unknownCharsMax = 4_096;

/** A text; limits of requests count code points, of which one may be two units here. */
export const text = (charsMax: number) => z.string().max(2 * charsMax);
/** A text that is `what`, as `parse` says. */
export const parsed = (parse: (text: string) => string | undefined, what: string) =>
  z.string().refine((value) => parse(value) !== undefined, `expected ${what}`);

export const siteCode = parsed(parseSiteCode, 'a site code');
export const noSiteOr = z.union([z.literal(''), siteCode]);
export const packageId = parsed(parsePackageId, 'a package ID');
export const dpId = parsed(parseDistributionPointId, 'the name of a distribution point');
export const noDpOr = z.union([z.literal(''), dpId]);
export const address = parsed(parseAddress, addressForm);
/** How many, a number of a row, or a time. */
export const count = z.int().min(0);
/** Of a file or content, in hex; '' where there is none. */
export const hash = z.string().regex(/^([0-9a-f]{64})?$/);
/** Of this program, such as a reason. */
export const sentence = text(sentenceCharsMax);
/** A name, an ID, a version. */
export const shortText = text(limits.shortTextCharsMax);
/** Of a group, a link, a setting. */
export const objectName = parsed(parseObjectName, 'a name');

/**
 * Every field of T, so that a new field of a row cannot be forgotten here. Others are of a newer
 * program: they are kept and passed on, as long as they are few, so that sites can be brought up to
 * date one after another.
 */
export function row<T>(shape: { readonly [K in keyof T]-?: z.ZodType<T[K]> }): z.ZodType<T> {
  const isSmall = (value: object) => {
    const others = Object.entries(value).filter(([field]) => !Object.hasOwn(shape, field));
    return others.length === 0 || JSON.stringify(others).length <= unknownCharsMax;
  };
  const expected = `at most ${unknownCharsMax} characters in fields that are not known here`;
  return z.looseObject(shape).refine(isSmall, expected) as unknown as z.ZodType<T>;
}
