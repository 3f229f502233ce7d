/* SPDX-License-Identifier: Apache-2.0
 *
 * Assertions stop the process in every build; error names are short, stable and all different.
 */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <ctype.h>
#include <signal.h>

#include "base/check.h"
#include "weft/err.h"

Test(check, lets_a_true_claim_pass) {
    ASSERT(1 + 1 == 2);
}

Test(check, stops_at_a_false_claim, .signal = SIGABRT) {
    ASSERT(1 + 1 == 3);
}

Test(check, evaluates_its_claim_once) {
    int calls = 0;
    ASSERT(++calls > 0);
    cr_assert_eq(calls, 1);
}

Test(err, every_error_has_a_name_of_its_own) {
    for (int a = WEFT_OK; a <= WEFT_ERR_IO; a++) {
        const char *name = weft_err_name((enum weft_err)a);
        cr_assert_not_null(name);
        cr_expect_str_neq(name, "unknown", "error %d has no name", a);
        for (const char *c = name; *c != '\0'; c++) {
            cr_expect(islower((unsigned char)*c) || *c == '-', "'%s'", name);
        }
        for (int b = WEFT_OK; b < a; b++) {
            cr_expect_str_neq(name, weft_err_name((enum weft_err)b));
        }
    }
}

Test(err, names_that_scripts_depend_on_stay) {
    cr_expect_str_eq(weft_err_name(WEFT_OK), "ok");
    cr_expect_str_eq(weft_err_name(WEFT_ERR_MALFORMED), "malformed");
    cr_expect_str_eq(weft_err_name(WEFT_ERR_NOT_FOUND), "not-found");
    cr_expect_str_eq(weft_err_name(WEFT_ERR_UNREACHABLE), "unreachable");
}

Test(err, a_foreign_number_is_unknown) {
    cr_expect_str_eq(weft_err_name((enum weft_err)(WEFT_ERR_IO + 1)), "unknown");
}
