/** What went wrong; `kind` is the name of the class in the Python package, such as "CorruptError". */
export class PicoError extends Error {
  readonly kind: "NotPicoError" | "TruncatedError" | "CorruptError" | "TrailingDataError" | "UnsupportedVersionError"
    | "MissingCoderError" | "UnknownModelError" | "WeightsError" | "EngineError" | "ImageTooLargeError" | "OptionError"
    | "ReadError";
}

export interface Pixels {
  width: number;
  height: number;
  /** RGBA, row by row, not premultiplied. */
  data: Uint8ClampedArray;
}

export interface PaintOptions {
  signal?: AbortSignal;
  /** The part of the upright picture that is seen: left, top, right, bottom. Its tiles go first. */
  visible?: () => [number, number, number, number];
  progress?: (done: number, of: number) => void;
  /** Called when the preview is drawn, if there is one. */
  shown?: () => void;
  /** Pictures of a higher number wait. 0 if it is not given. */
  urgency?: number;
  /** A larger picture is drawn at a half, a quarter or an eighth of its size. */
  mostPixels?: number;
}

export interface Painted {
  /** The errors of the tiles that could not be shown. */
  failed: PicoError[];
  /** How many pixels a side became one: 1, 2, 4 or 8. */
  scale: number;
}

export interface PicoPicture {
  /** Of the picture turned upright, as EXIF's orientation says. */
  readonly width: number;
  readonly height: number;
  readonly storedWidth: number;
  readonly storedHeight: number;
  /** EXIF's orientation, 1 to 8. */
  readonly orientation: number;
  /** 1 for grey, 3 for colour; alpha is not counted. */
  readonly channels: 1 | 3;
  readonly hasAlpha: boolean;
  /** 0 to 100, null if none was asked for. */
  readonly quality: number | null;
  /** The id of the weights in hexadecimal; null if no tile needs them. */
  readonly modelId: string | null;
  readonly icc: Uint8Array | null;
  /** What a browser cannot do for this picture, in English; empty where all is well. */
  readonly note: string;
  readonly isTruncated: boolean;
  exif(): Promise<Uint8Array | null>;
  xmp(): Promise<Uint8Array | null>;
  preview(): Promise<Blob | null>;
  /** No more bytes are wanted: what is still arriving is stopped. */
  close(): void;
  /** Checks all checksums. */
  verify(): Promise<void>;
  /** The pixels as they are stored, not turned: those of the Python package, bit for bit. */
  decode(options?: { signal?: AbortSignal }): Promise<Pixels>;
  /** Draws the upright picture: its preview at once, then tiles as they come. */
  paint(canvas: HTMLCanvasElement | OffscreenCanvas, options?: PaintOptions): Promise<Painted>;
}

export interface Decoder {
  /** Opens bytes, a Blob, a Response or an address. With `allowTruncated`, a file that ends early too. */
  open(source: string | URL | Uint8Array | ArrayBuffer | Blob | Response,
    options?: { allowTruncated?: boolean; signal?: AbortSignal }): Promise<PicoPicture>;
  /** Lets the page use `<pico-image src="...">`, or an element of another name. */
  defineElement(name?: string): void;
  /** Ends the workers. */
  close(): void;
}

export function createDecoder(options?: {
  wasm?: string | URL;
  /** Where the weights of an id lie: a safetensors file in gzip. */
  weights?: (id: string) => string | URL;
  /** How many; as many as the machine has processors, at most 8, if it is not given. */
  workers?: number;
}): Decoder;

/** The exact picture as a PNG file, with its EXIF, XMP and ICC profile. */
export function toPng(picture: PicoPicture): Promise<Blob>;
/** The picture as a JPEG file, with its EXIF, XMP and ICC profile. */
export function toJpeg(picture: PicoPicture): Promise<Blob>;
/** Camera, lens, exposure, title and place: pairs of a name and a text. Show them as text, never as markup. */
export function facts(exif: Uint8Array | null): [string, string][];
/** When the photo was taken, as 2021-06-05T04:03:02, or null. */
export function takenAt(exif: Uint8Array | null): string | null;
