// Letters that cannot be seen, or that turn around those beside them, shown as their codes: nobody can hide in a payload.

/** Controls but for tab and line breaks, marks of direction, zero widths, separators of lines. */
const UNSEEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

export function visible(text: string): string {
  return text.replace(UNSEEN, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
