/* The inner loops: a z-buffer rasteriser and value noise. Their NumPy twins (raster.py, noise.py) give the same result;
 * tests compare them.
 * raster: verts n x 4 float (x_px, y_px, key, w): key is linear on the screen, larger is nearer; w = 1/z (1 for parallel
 * views). Sample (col, row) sits at (col + 0.5, row + 0.5). Ties keep the earlier triangle. */
#include <math.h>
#include <stdint.h>

void raster(const float *verts, const int32_t *tris, int64_t count, int32_t first_id, int32_t height, int32_t width,
            float *key, int32_t *id, float *bary)
{
    for (int64_t t = 0; t < count; t++) {
        const float *a = verts + 4 * (int64_t)tris[3 * t];
        const float *b = verts + 4 * (int64_t)tris[3 * t + 1];
        const float *c = verts + 4 * (int64_t)tris[3 * t + 2];
        double area = ((double)b[0] - a[0]) * ((double)c[1] - a[1]) - ((double)b[1] - a[1]) * ((double)c[0] - a[0]);
        if (!(fabs(area) > 1e-9)) continue;
        float lo_x = fminf(a[0], fminf(b[0], c[0])), hi_x = fmaxf(a[0], fmaxf(b[0], c[0]));
        float lo_y = fminf(a[1], fminf(b[1], c[1])), hi_y = fmaxf(a[1], fmaxf(b[1], c[1]));
        if (hi_x < 0 || hi_y < 0 || lo_x > width || lo_y > height) continue;
        int x0 = (int)fmaxf(0.f, ceilf(lo_x - 0.5f)), x1 = (int)fminf((float)width - 1, floorf(hi_x - 0.5f));
        int y0 = (int)fmaxf(0.f, ceilf(lo_y - 0.5f)), y1 = (int)fminf((float)height - 1, floorf(hi_y - 0.5f));
        double inv = 1.0 / area;
        for (int y = y0; y <= y1; y++) {
            double py = y + 0.5, px0 = x0 + 0.5;
            /* Thin slanted triangles fill little of their box: each edge says from where to where the row can be inside
             * (one sample of slack; the exact test below decides). */
            double edge[3] = {((b[0] - px0) * (c[1] - py) - (b[1] - py) * (c[0] - px0)) * inv,
                              ((c[0] - px0) * (a[1] - py) - (c[1] - py) * (a[0] - px0)) * inv, 0};
            double slope[3] = {((double)b[1] - c[1]) * inv, ((double)c[1] - a[1]) * inv, 0};
            edge[2] = 1.0 - edge[0] - edge[1];
            slope[2] = -slope[0] - slope[1];
            double from = 0, to = x1 - x0;
            for (int e = 0; e < 3; e++) {
                double zero = -edge[e] / slope[e];
                if (slope[e] > 1e-12) from = fmax(from, zero - 1);
                else if (slope[e] < -1e-12) to = fmin(to, zero + 1);
            }
            if (!(from <= to)) continue;
            int last = x0 + (int)to;
            for (int x = x0 + (int)from; x <= last; x++) {
                double px = x + 0.5;
                double u = ((b[0] - px) * (c[1] - py) - (b[1] - py) * (c[0] - px)) * inv;
                double v = ((c[0] - px) * (a[1] - py) - (c[1] - py) * (a[0] - px)) * inv;
                double s = 1.0 - u - v;
                if (u < 0 || v < 0 || s < 0) continue;
                float k = (float)(u * a[2] + v * b[2] + s * c[2]);
                int64_t at = (int64_t)y * width + x;
                if (!(k > key[at])) continue;
                key[at] = k;
                id[at] = first_id + (int32_t)t;
                double wu = u * a[3], wv = v * b[3], total = wu + wv + s * c[3];
                bary[2 * at] = (float)(wu / total);
                bary[2 * at + 1] = (float)(wv / total);
            }
        }
    }
}

/* Value noise on a periodic side^3 lattice, smoothed trilinear; twin of Noise.value in noise.py. */
void value_noise(const float *points, int64_t count, float frequency, const float *lattice, int32_t side, float *out)
{
    for (int64_t i = 0; i < count; i++) {
        int lo[3], hi[3];
        float part[3];
        for (int k = 0; k < 3; k++) {
            float at = points[3 * i + k] * frequency, cell = floorf(at), t = at - cell;
            int c = (int)((int64_t)cell % side);
            lo[k] = c < 0 ? c + side : c;
            hi[k] = lo[k] + 1 == side ? 0 : lo[k] + 1;
            part[k] = t * t * (3.0f - 2.0f * t);
        }
        float sum = 0;
        for (int corner = 0; corner < 8; corner++) {
            int x = corner & 1 ? hi[0] : lo[0], y = corner & 2 ? hi[1] : lo[1], z = corner & 4 ? hi[2] : lo[2];
            float w = (corner & 1 ? part[0] : 1 - part[0]) * (corner & 2 ? part[1] : 1 - part[1])
                      * (corner & 4 ? part[2] : 1 - part[2]);
            sum += w * lattice[((int64_t)x * side + y) * side + z];
        }
        out[i] = sum;
    }
}
