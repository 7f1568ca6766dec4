/*
 * Solves the equation of Poisson on a periodic cube by FFTW, each rank a slab of the planes.
 *
 * usage: poisson [POINTS]    points along each edge, 8 to 512
 *
 * The right side is the Laplacian of sin(x) cos(2y) sin(3z), so that the answer is known; what is
 * printed is the largest difference from it. With an argument that is no such number it ends with 2.
 */
#include <fftw3-mpi.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double TWO_PI = 6.28318530717958647692;

static double known(double x, double y, double z)
{
    return sin(x) * cos(2 * y) * sin(3 * z);
}

/* The wave number of a row of the transform: 0, 1, ... n/2, ... -2, -1. */
static double wave(ptrdiff_t row, ptrdiff_t points)
{
    return row <= points / 2 ? (double)row : (double)(row - points);
}

static double solve(ptrdiff_t n)
{
    ptrdiff_t planes, first;
    ptrdiff_t size = fftw_mpi_local_size_3d(n, n, n, MPI_COMM_WORLD, &planes, &first);
    fftw_complex *field = fftw_alloc_complex(size);
    fftw_plan forward = fftw_mpi_plan_dft_3d(n, n, n, field, field, MPI_COMM_WORLD, FFTW_FORWARD,
                                             FFTW_ESTIMATE);
    fftw_plan backward = fftw_mpi_plan_dft_3d(n, n, n, field, field, MPI_COMM_WORLD, FFTW_BACKWARD,
                                              FFTW_ESTIMATE);
    double step = TWO_PI / n, worst = 0.0, worst_of_all;

    for (ptrdiff_t i = 0; i < planes; ++i)
        for (ptrdiff_t j = 0; j < n; ++j)
            for (ptrdiff_t k = 0; k < n; ++k) {
                fftw_complex *cell = &field[(i * n + j) * n + k];
                (*cell)[0] = -14.0 * known((first + i) * step, j * step, k * step);
                (*cell)[1] = 0.0;
            }
    fftw_execute(forward);
    for (ptrdiff_t i = 0; i < planes; ++i)
        for (ptrdiff_t j = 0; j < n; ++j)
            for (ptrdiff_t k = 0; k < n; ++k) {
                fftw_complex *cell = &field[(i * n + j) * n + k];
                double a = wave(first + i, n), b = wave(j, n), c = wave(k, n);
                double square = a * a + b * b + c * c;
                /* The mean is free, and nothing here has one. FFTW does not scale. */
                double factor = square > 0 ? -1.0 / (square * n * n * n) : 0.0;
                (*cell)[0] *= factor;
                (*cell)[1] *= factor;
            }
    fftw_execute(backward);
    for (ptrdiff_t i = 0; i < planes; ++i)
        for (ptrdiff_t j = 0; j < n; ++j)
            for (ptrdiff_t k = 0; k < n; ++k) {
                double right = known((first + i) * step, j * step, k * step);
                double off = fabs(field[(i * n + j) * n + k][0] - right);
                worst = off > worst ? off : worst;
            }
    MPI_Allreduce(&worst, &worst_of_all, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    fftw_destroy_plan(forward);
    fftw_destroy_plan(backward);
    fftw_free(field);
    return worst_of_all;
}

int main(int argc, char **argv)
{
    char *end = "";
    long points = argc > 1 ? strtol(argv[1], &end, 10) : 64;
    int rank, ranks, status = 0;

    MPI_Init(&argc, &argv);
    fftw_mpi_init();
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (*end != '\0' || points < 8 || points > 512) {
        if (rank == 0)
            fprintf(stderr, "%s is not a number of points from 8 to 512\n", argv[1]);
        status = 2;
    } else {
        double worst = solve(points);
        if (rank == 0)
            printf("%ld^3 points on %d ranks: off by at most %.1e\n", points, ranks, worst);
        status = worst < 1e-10 ? 0 : 1;
    }
    fftw_mpi_cleanup();
    MPI_Finalize();
    return status;
}
