export async function REAL() {}
