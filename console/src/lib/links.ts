// Which addresses out of data may become links: a `javascript:` in one must stay a text.

export function webAddress(text: string | null | undefined): string | null {
  if (!text) return null;
  try {
    const address = new URL(text);
    return address.protocol === "https:" || address.protocol === "http:" ? address.href : null;
  } catch {
    return null;
  }
}
